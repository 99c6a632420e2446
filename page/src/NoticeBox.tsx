import type { Notice } from './words';

export function NoticeBox({ notice }: { notice: Notice }) {
  return (
    <div className={notice.alarm ? 'notice alarm' : 'notice'} role={notice.alarm ? 'alert' : 'status'}>
      <b>{notice.what}</b> {notice.remedy}
    </div>
  );
}
